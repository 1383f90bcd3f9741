"""The operator's command `tandem`: one module a subcommand."""
