"""Motion capture formats, and the way from their skeletons to 17 joints."""
