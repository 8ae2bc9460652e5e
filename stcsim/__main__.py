"""``python -m stcsim``: the command line."""

from stcsim.cli.entry import main

if __name__ == "__main__":
    main()
