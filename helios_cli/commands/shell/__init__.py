"""The SQL shell: splitting input, backslash commands, printing, the prompt."""
