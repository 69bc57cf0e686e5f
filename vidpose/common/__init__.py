"""What knows nothing of people: errors, files, Ctrl-C, devices, settings, names."""
