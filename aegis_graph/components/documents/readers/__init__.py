"""One small reader for each kind of document, chosen by the file's ending or by what is in it."""
