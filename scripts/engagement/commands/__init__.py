"""The commands, one module per group of `engagement --help`. What a command needs is imported when it is called: the
help and the completion of the shell load none of it.
"""
