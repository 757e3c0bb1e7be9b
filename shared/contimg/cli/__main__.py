"""The command line where no script is on the path: ``python -m contimg.cli``, as it is run in the keeper's pod."""

from contimg.cli.main import main

if __name__ == "__main__":
    main()
