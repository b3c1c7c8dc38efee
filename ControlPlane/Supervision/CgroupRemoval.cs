using System.Diagnostics;

namespace NetKernel.ControlPlane.Supervision;

/// <summary>
/// Removing cgroups whose processes have just ended. The kernel takes a process out of its cgroup only after its parent has been told of its end, and answers EBUSY until then; so each is tried for a
/// while, and one that stays (somebody put a process into it) does not keep the others.
/// </summary>
internal static class CgroupRemoval
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(5);

    /// <summary>Removes a cgroup and those in it; what could not be removed. Blocks for 2 s at most.</summary>
    public static List<string> RemoveAll(string path)
    {
        var left = new List<string>();
        long began = Stopwatch.GetTimestamp();
        foreach (string child in Below(path))
        {
            RemoveOne(child, began, left);
        }

        RemoveOne(path, began, left);
        return left;
    }

    /// <summary>Removes a cgroup if there is none in it; another that is being made in it is left alone.</summary>
    public static void RemoveEmpty(string path)
    {
        if (Below(path).Length == 0)
        {
            _ = TryRemove(path);
        }
    }

    private static void RemoveOne(string path, long began, List<string> left)
    {
        while (!TryRemove(path))
        {
            if (Stopwatch.GetElapsedTime(began) > Patience)
            {
                left.Add(path);
                return;
            }

            Thread.Sleep(Pause);
        }
    }

    private static string[] Below(string path)
    {
        try
        {
            return Directory.GetDirectories(path);
        }
        catch (DirectoryNotFoundException)
        {
            return [];
        }
    }

    private static bool TryRemove(string path)
    {
        try
        {
            Directory.Delete(path); // rmdir: the files in it are the kernel's
            return true;
        }
        catch (DirectoryNotFoundException)
        {
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }
}
