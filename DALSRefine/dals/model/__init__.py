"""The shape model: template, decoder, pose, and the prior that combines them with its training latents."""
