"""DSA-110: a drift-scan array of 4.65 m dishes at OVRO, 1.28 to 1.53 GHz."""
