namespace NetKernel.Testing;

/// <summary>A directory of its own under the temp directory, gone at the end.</summary>
public sealed class RunDirectory : IDisposable
{
    private static int _next;

    public RunDirectory()
    {
        Path = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"nkt-{Environment.ProcessId}-{Interlocked.Increment(ref _next)}");
        _ = Directory.CreateDirectory(Path);
    }

    public string Path { get; }

    public string EngineSocket => System.IO.Path.Combine(Path, "engine.sock");

    public string GuestSocket(string name) => System.IO.Path.Combine(Path, "guests", name + ".sock");

    public void Dispose()
    {
        if (Directory.Exists(Path))
        {
            Directory.Delete(Path, recursive: true);
        }
    }
}
