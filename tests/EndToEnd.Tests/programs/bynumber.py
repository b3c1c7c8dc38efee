"""Socket calls by number, through syscall(2): bynumber.py ADDRESS PORT of an echo server. Prints what came of each."""
import ctypes
import os
import socket
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
READ, WRITE, CLOSE, POLL, SOCKET, CONNECT, SENDTO, RECVFROM, SHUTDOWN, GETPEERNAME, GETSOCKOPT, DUP = 0, 1, 3, 7, 41, 42, 44, 45, 48, 52, 55, 32


def call(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    return result if result >= 0 else os.strerror(ctypes.get_errno())


address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", int(sys.argv[2])) + socket.inet_aton(sys.argv[1]) + bytes(8)
buffer = ctypes.create_string_buffer(100)
fd = call(SOCKET, socket.AF_INET, socket.SOCK_STREAM, 0)
print("connect", call(CONNECT, fd, address, 16))
print("again", call(CONNECT, fd, address, 16))
print("write", call(WRITE, fd, b"first", 5))
print("poll", call(POLL, ctypes.create_string_buffer(struct.pack("=ihh", fd, 1, 0)), 1, 5000))
print("read", call(READ, fd, buffer, 100), buffer.raw[:5])
print("sendto", call(SENDTO, fd, b"second", 6, 0, 0, 0))
copy = call(DUP, fd)
print("close", call(CLOSE, fd), call(CLOSE, fd))
print("recvfrom", call(RECVFROM, copy, buffer, 100, 0, 0, 0), buffer.raw[:6])
length = ctypes.c_uint(100)
print("getpeername", call(GETPEERNAME, copy, buffer, ctypes.byref(length)), length.value, buffer.raw[:16] == address)
length = ctypes.c_uint(4)
print("getsockopt", call(GETSOCKOPT, copy, socket.SOL_SOCKET, socket.SO_TYPE, buffer, ctypes.byref(length)), buffer.raw[:4])
print("bad", call(READ, 9999, buffer, 1), call(SENDTO, copy, 0, 5, 0, 0, 0), call(99999))
print("shutdown", call(SHUTDOWN, copy, socket.SHUT_WR), call(READ, copy, buffer, 100), call(CLOSE, copy))
print("getpid", call(39) == os.getpid())
