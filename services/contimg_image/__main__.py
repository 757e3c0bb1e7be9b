from contimg.stage.worker import main

main("image")
