using System.Diagnostics;

namespace NetKernel.ControlPlane.Tests;

/// <summary>Waiting for what nothing announces (a process that another one starts, a history that nkd writes when it looks): looked at again until it is so, with a deadline.</summary>
internal static class Eventually
{
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(5);

    /// <summary>What is found; fails when there is nothing in time.</summary>
    public static async Task<T> FindAsync<T>(Func<Task<T?>> find, string what)
        where T : class
    {
        long began = Stopwatch.GetTimestamp();
        while (true)
        {
            if (await find() is { } found)
            {
                return found;
            }

            if (Stopwatch.GetElapsedTime(began) > Deadline)
            {
                throw new TimeoutException("did not happen: " + what);
            }

            await Task.Delay(Pause);
        }
    }

    public static async Task HoldsAsync(Func<bool> condition, string what) => _ = await FindAsync(() => Task.FromResult(condition() ? what : null), what);
}
