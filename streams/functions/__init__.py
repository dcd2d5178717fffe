"""The functions that come with Rivulet."""
