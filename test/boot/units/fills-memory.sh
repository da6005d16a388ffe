perl -e 'push @x, "x" x 4e6 while 1'
