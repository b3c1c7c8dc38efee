// stackalloc and locals are not zeroed; see README.md.
[module: System.Runtime.CompilerServices.SkipLocalsInit]
