"""`python -m scorefold`: the command line."""

from scorefold.cli import main

if __name__ == "__main__":
    main()
