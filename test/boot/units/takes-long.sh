for second in {1..900}; do
    echo "second $second"
    sleep 1
done
