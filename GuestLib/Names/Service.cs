namespace NetKernel.GuestLib.Names;

/// <summary>
/// This library as a name service of the C library (nss(5)). The C library's resolver has sockets of its own that no preload can reach; but it asks services by
/// name, and takes one that is loaded already: this library's soname is that of the service "netkernel". So in a guest the hosts line of nsswitch.conf gets
/// "netkernel" where it has "dns", for this process. All else stays the C library's own: /etc/hosts, numbers, services, flags, sorting, buffers.
/// </summary>
internal static unsafe class Service
{
    private const int Fresh = 0, Busy = 1, Ready = 2;

    private static int s_state;

    /// <summary>Makes sure that names are asked for by this library, once per process.</summary>
    internal static void Ensure()
    {
        if (Volatile.Read(ref s_state) != Ready)
        {
            Configure();
        }
    }

    /// <summary>In a forked child nobody else is busy with it.</summary>
    internal static void AfterFork()
    {
        if (s_state == Busy)
        {
            s_state = Fresh;
        }
    }

    /// <summary>A program that sets its services by itself (getent -s): "dns" of hosts is ours then, too.</summary>
    internal static int Set(byte* database, byte* services)
    {
        Ensure();
        byte* line = stackalloc byte[SwitchFile.MaxLine];
        if (!Attaching.IsGuest || database == null || services == null || !IsHosts(database))
        {
            return RealNames.nss_configure_lookup(database, services);
        }

        int length = 0;
        while (services[length] != 0)
        {
            length++;
        }

        return SwitchFile.Translate(services, length, line) < 0 ? Libc.Fail(Abi.EINVAL) : RealNames.nss_configure_lookup(database, line);
    }

    private static void Configure()
    {
        Real.Ensure();
        while (Interlocked.CompareExchange(ref s_state, Busy, Fresh) != Fresh)
        {
            if (Volatile.Read(ref s_state) == Ready)
            {
                return;
            }

            _ = Libc.sched_yield();
        }

        RealNames.Resolve();
        if (Attaching.IsGuest)
        {
            int errno = Libc.Errno;
            byte* line = stackalloc byte[SwitchFile.MaxLine];
            byte* text = Files.Read("/etc/nsswitch.conf"u8, out int length);
            fixed (byte* hosts = "hosts"u8, standard = "files netkernel"u8)
            {
                _ = RealNames.nss_configure_lookup(hosts, SwitchFile.Hosts(text, length, line) < 0 ? standard : line);
            }

            Libc.free(text);
            Libc.Errno = errno;
        }

        Volatile.Write(ref s_state, Ready);
    }

    private static bool IsHosts(byte* database)
    {
        ReadOnlySpan<byte> hosts = "hosts"u8;
        for (int i = 0; i < hosts.Length; i++)
        {
            if (database[i] != hosts[i])
            {
                return false;
            }
        }

        return database[hosts.Length] == 0;
    }
}
