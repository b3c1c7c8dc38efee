#!/bin/sh
# The library lives in other people's processes: it may need libc and nothing else, and be bound by plain names.
set -eu
lib=$1
needed=$(readelf -dW "$lib" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
for n in $needed; do
    case $n in
        libc.so.6) ;;
        *) echo "$lib: error: needs $n; only libc.so.6 is allowed" >&2; exit 1 ;;
    esac
done
foreign=$(readelf --dyn-syms -W "$lib" |
    awk '$7 == "UND" && $8 != "" && $5 != "WEAK" && $8 !~ /@GLIBC_/ { print $8 }')
if [ -n "$foreign" ]; then
    echo "$lib: error: imports that libc does not define: $foreign" >&2
    exit 1
fi
versioned=$(readelf --dyn-syms -W "$lib" | awk '$7 != "UND" && $8 ~ /@/ { print $8 }')
if [ -n "$versioned" ]; then
    echo "$lib: error: exports with a version bind to nothing: $versioned" >&2
    exit 1
fi
