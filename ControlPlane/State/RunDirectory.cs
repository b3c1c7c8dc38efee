using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using NetKernel.Api;
using NetKernel.Channel.Host;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.State;

/// <summary>The run directory and the lock that keeps a second nkd out of it.</summary>
internal sealed class RunDirectory : IDisposable
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private const UnixFileMode Passable = Private | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;

    private SafeFileHandle? _lock;

    private RunDirectory(string path, SafeFileHandle held)
    {
        Root = path;
        _lock = held;
    }

    public string Root { get; }

    public string EngineSocket => Path.Combine(Root, "engine.sock");

    public string EngineStats => Path.Combine(Root, "engine.stats");

    /// <summary>What an NSM's stack measures.</summary>
    public string MeasuresPath(uint nsm) => Path.Combine(Root, string.Create(CultureInfo.InvariantCulture, $"nsm-{nsm}.measures"));

    public string ApiSocket => Places.ApiSocket(Root);

    public string Guests => Path.Combine(Root, "guests");

    public string Logs => Path.Combine(Root, "log");

    /// <summary>Where the store is when no other place is named: gone with the run directory.</summary>
    public string StatePath => StateFileIn(Root);

    public static string StateFileIn(string directory) => Path.Combine(directory, "state.db");

    /// <summary>The history of usage lies beside the state.</summary>
    public static string UsageFileIn(string directory) => Path.Combine(directory, "usage.db");

    public string AttachPath(string guest) => Path.Combine(Guests, guest + ".sock");

    /// <summary>The folder of files that a guest sees in /etc.</summary>
    public string FilesPath(string guest) => Path.Combine(Guests, guest + ".etc");

    /// <summary>Makes what is missing and takes the lock, which the kernel releases when this process ends in whatever way.</summary>
    public static RunDirectory Open(string path, string instance)
    {
        if (path.Length > Places.MaxRunDirectoryLength)
        {
            throw new ServiceException(
                FailureCode.InvalidArgument,
                $"the run directory {path} is too long for socket paths: use at most {Places.MaxRunDirectoryLength} characters");
        }

        try
        {
            Directory.CreateDirectory(path, Passable);
            File.SetUnixFileMode(path, Passable);
            foreach ((string folder, UnixFileMode mode) in new[] { ("guests", Passable), ("log", Private) })
            {
                string full = Path.Combine(path, folder);
                Directory.CreateDirectory(full, mode);
                File.SetUnixFileMode(full, mode);
            }
        }
        catch (Exception e) when (e is UnauthorizedAccessException or IOException)
        {
            throw new ServiceException(
                FailureCode.FailedPrecondition, $"cannot use the run directory {path}: {e.Message.TrimEnd('.')}; choose another with --run-dir");
        }

        // FileStream would put a lock of its own on the file; this one is ours alone.
        int fd = OpenFile(Path.Combine(path, "nkd.pid"), Libc.O_CLOEXEC | 0x42 /* O_RDWR, O_CREAT */, 0x1A4 /* 0644 */);
        if (fd < 0)
        {
            throw new ServiceException(
                FailureCode.FailedPrecondition, $"cannot use the run directory {path}: {Libc.Describe(Libc.Errno)}; choose another with --run-dir");
        }

        var held = new SafeFileHandle(fd, ownsHandle: true);
        if (Flock(fd, LockExclusive | LockNonBlocking) != 0)
        {
            Span<byte> text = stackalloc byte[64];
            int length = RandomAccess.Read(held, text, 0);
            string pid = Encoding.ASCII.GetString(text[..length]).Split(' ')[0];
            held.Dispose();
            throw new ServiceException(
                FailureCode.AlreadyExists, $"NetKernel is already up in {path} (nkd, pid {pid}): `nk down` ends it, --instance NAME starts another");
        }

        RandomAccess.SetLength(held, 0);
        RandomAccess.Write(held, Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{Environment.ProcessId} {instance}\n")), 0);
        return new RunDirectory(path, held);
    }

    /// <summary>Removes what nkd and CoreEngine made; the logs stay when asked for. The directory goes when it is empty.</summary>
    public void Clear(bool keepLogs, bool keepState = false)
    {
        Delete(ApiSocket, EngineSocket, EngineStats);
        if (!keepState)
        {
            Delete(StatePath, StatePath + "-wal", StatePath + "-shm");
            string usage = UsageFileIn(Root);
            Delete(usage, usage + "-wal", usage + "-shm");
        }

        Delete([.. Directory.EnumerateFiles(Root, "nsm-*.measures")]);

        if (Directory.Exists(Guests))
        {
            Directory.Delete(Guests, recursive: true);
        }

        if (Directory.Exists(Logs) && (!keepLogs || !Directory.EnumerateFileSystemEntries(Logs).Any()))
        {
            Directory.Delete(Logs, recursive: true);
        }

        Delete(Path.Combine(Root, "nkd.pid"));
        if (!Directory.EnumerateFileSystemEntries(Root).Any())
        {
            Directory.Delete(Root);
        }
    }

    public void ClearSockets()
    {
        Delete(EngineSocket);
        foreach (string path in Directory.EnumerateFiles(Guests, "*.sock"))
        {
            Delete(path);
        }
    }

    public void Dispose()
    {
        _lock?.Dispose();
        _lock = null;
    }

    private static void Delete(params string[] paths)
    {
        foreach (string path in paths)
        {
            File.Delete(path);
        }
    }

    private const int LockExclusive = 2, LockNonBlocking = 4;

    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    private static extern int OpenFile([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags, int mode);

    [DllImport("libc", EntryPoint = "flock", SetLastError = true)]
    private static extern int Flock(int fd, int operation);
}
