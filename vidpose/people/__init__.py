"""Who is in the picture: one file a person detector, and the tracker that gives ids."""
