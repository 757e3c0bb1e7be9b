"""The Karl G. Jansky Very Large Array, as a pointed array whose recordings come as UVFITS."""
