"""Stage group: freezes which observations a group is made of and checks the rules of a group."""
