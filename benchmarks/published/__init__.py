"""The published stability experiments on networks trained here: settings, training, the study, its page."""
