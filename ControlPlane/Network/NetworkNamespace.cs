using System.Runtime.InteropServices;
using NetKernel.Channel.Host;

namespace NetKernel.ControlPlane.Network;

/// <summary>Named network namespaces (as of ip-netns), and doing something inside one on a thread of its own.</summary>
internal static class NetworkNamespace
{
    public const string Folder = "/run/netns";

    public static string PathOf(string name) => Path.Combine(Folder, name);

    /// <summary>The inode, by which a namespace is told from others; 0 when it is not there.</summary>
    public static ulong Inode(string path)
    {
        Span<byte> buffer = stackalloc byte[256];
        unsafe
        {
            fixed (byte* p = buffer)
            {
                // struct stat on x86-64: st_dev at 0, st_ino at 8.
                return Stat(path, p) == 0 ? *(ulong*)(p + 8) : 0;
            }
        }
    }

    /// <summary>Names that belong to an instance.</summary>
    public static IReadOnlyList<string> OfInstance(string instance)
    {
        if (!Directory.Exists(Folder))
        {
            return [];
        }

        return [.. Directory.EnumerateFiles(Folder).Select(Path.GetFileName).OfType<string>()
            .Where(name => BelongsTo(name, instance)).Order(StringComparer.Ordinal)];
    }

    /// <summary>Whether a namespace name is one that this instance makes. "nk" does not own what belongs to "nk-g".</summary>
    public static bool BelongsTo(string name, string instance) =>
        name.StartsWith(instance + "-", StringComparison.Ordinal)
        && name[(instance.Length + 1)..] is var rest
        && (rest is "br" or "out" || rest.StartsWith("g-", StringComparison.Ordinal) || rest.StartsWith("nsm-", StringComparison.Ordinal));

    /// <summary>Does something in the namespace of that path: <see cref="NetworkSpace.Inside"/>.</summary>
    public static T Inside<T>(string? path, Func<T> action) => NetworkSpace.Inside(path, action);

    [DllImport("libc", EntryPoint = "stat", SetLastError = true)]
    private static extern unsafe int Stat([MarshalAs(UnmanagedType.LPUTF8Str)] string path, byte* buffer);
}
