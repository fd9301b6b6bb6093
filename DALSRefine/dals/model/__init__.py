"""The shape model: template, decoder, prior and pose."""
