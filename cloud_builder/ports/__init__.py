"""What the flows need from the outside, as protocols. The adapters fulfil them; nothing here does I/O."""
