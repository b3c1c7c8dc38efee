using System.Runtime.InteropServices;

namespace NetKernel.Channel.Host;

/// <summary>Doing something in another network namespace (network_namespaces(7)).</summary>
public static class NetworkSpace
{
    private const int CloneNewNet = 0x40000000;

    /// <summary>
    /// Runs an action on a new thread that has entered the namespace of that path, and waits: what it opens and starts, and the /proc/sys/net that it sees, are that namespace's. With null it just runs.
    /// </summary>
    /// <exception cref="InvalidOperationException">The namespace cannot be entered, or the action failed: with its message.</exception>
    public static T Inside<T>(string? path, Func<T> action)
    {
        if (path is null)
        {
            return action();
        }

        T result = default!;
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                Enter(path);
                result = action();
            }
            catch (Exception e)
            {
                failure = e;
            }
        });
        thread.Start();
        thread.Join();
        return failure is null ? result : throw new InvalidOperationException(failure.Message, failure);
    }

    private static void Enter(string path)
    {
        int fd = Open(path, Libc.O_CLOEXEC);
        if (fd < 0 || SetNs(fd, CloneNewNet) != 0)
        {
            throw new InvalidOperationException($"cannot enter the network namespace {path}: {Libc.Describe(Libc.Errno)}");
        }

        _ = Libc.Close(fd);
    }

    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    private static extern int Open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

    [DllImport("libc", EntryPoint = "setns", SetLastError = true)]
    private static extern int SetNs(int fd, int type);
}
