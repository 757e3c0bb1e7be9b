"""Run the operator of a namespace: ``python -m contimg_operator``."""

from contimg.process import start

start("operator", "contimg_operator.operator:serve")
