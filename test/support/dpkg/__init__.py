"""What dpkg's own library reads of the same texts, to compare the readers of the project with it."""
