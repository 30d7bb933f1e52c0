"""The command `steadynet`: a module per subcommand; none imports torch before its input is checked."""
