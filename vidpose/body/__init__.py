"""What a person is: joint layouts, geometry, angles, colours; and the data that travels, tracks and results."""
