"""Entry point of ``python -m undam``."""

from undam.cli import main

if __name__ == "__main__":
    main()
