"""`python -m steadynet` is the command `steadynet`."""

from steadynet.cli.main import entry

if __name__ == "__main__":
    entry()
