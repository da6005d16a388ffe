"""cb-ctl: what people type. One file per verb group; a verb's file is loaded when the verb is used.

Words go in, words come out: messages to stdout, what went wrong with its next step to stderr, an exit code of
`errors.ExitCode`. Must never decide what to build; it talks to the mesh by events and asks cb-info.
"""
