"""What is on the disks: the layout, durable writing, attempts, commits and names."""
