using System.Diagnostics;
using System.Runtime.ExceptionServices;
using NetKernel.Channel.Host;

namespace NetKernel.ServiceLib.Testing;

/// <summary>A network namespace of a test's own. It needs root, and lasts as long as the thread that made it or anything that is open in it.</summary>
public sealed class NetNamespace
{
    private const int Unshare = 272, Setns = 308, GetTid = 186, NewNet = 0x40000000; // x86-64

    private NetNamespace(string path) => Path = path;

    /// <summary>Its file, as ip link set ... netns takes it.</summary>
    public string Path { get; }

    /// <summary>Takes the calling thread into a new namespace, which has only lo, and that is down.</summary>
    /// <param name="ipv6">Whether interfaces made there get IPv6; without it the kernel has nothing to say on them.</param>
    public static NetNamespace Enter(bool ipv6 = true)
    {
        Check(Libc.Syscall(Unshare, NewNet, 0, 0, 0, 0, 0), "unshare");
        string settings = "/proc/sys/net/ipv6/conf/";
        if (Directory.Exists(settings))
        {
            foreach (string which in (string[])["all", "default"])
            {
                File.WriteAllText($"{settings}{which}/disable_ipv6", ipv6 ? "0" : "1");
            }
        }

        return new NetNamespace($"/proc/{Environment.ProcessId}/task/{Libc.Syscall(GetTid, 0, 0, 0, 0, 0, 0)}/ns/net");
    }

    /// <summary>Runs ip(8) in the calling thread's namespace: it is forked from this thread.</summary>
    public static void Ip(string arguments) => Tool("ip", arguments);

    /// <summary>Runs another program there, which must succeed.</summary>
    public static void Tool(string name, string arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(name, arguments) { RedirectStandardError = true })!;
        string text = process.StandardError.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"{name} {arguments}: {text}");
        }
    }

    /// <summary>Does something in the namespace, in a thread of its own; what it throws is thrown here.</summary>
    public T Run<T>(Func<T> action)
    {
        ArgumentNullException.ThrowIfNull(action);
        T result = default!;
        InThread(() =>
        {
            using Microsoft.Win32.SafeHandles.SafeFileHandle ns = File.OpenHandle(Path);
            Check(Libc.Syscall(Setns, (int)ns.DangerousGetHandle(), 0, 0, 0, 0, 0), "setns");
            result = action();
        });
        return result;
    }

    /// <summary>Does something in a thread of its own and waits for it; what it throws is thrown here. For what enters a namespace: a thread cannot simply leave it.</summary>
    public static void InThread(Action action)
    {
        ExceptionDispatchInfo? failure = null;
        Thread thread = new(() =>
        {
            try
            {
                action();
            }
            catch (Exception e)
            {
                failure = ExceptionDispatchInfo.Capture(e);
            }
        });
        thread.Start();
        thread.Join();
        failure?.Throw();
    }

    private static void Check(long result, string call)
    {
        if (result != 0)
        {
            throw new InvalidOperationException($"{call}: {Libc.Describe(Libc.Errno)}");
        }
    }
}
