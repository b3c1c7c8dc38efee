using System.Xml.Linq;

namespace NetKernel.Architecture.Tests;

/// <summary>The checked-out tree that these tests were built in.</summary>
internal static class Repository
{
    public static string Root { get; } = FindRoot(AppContext.BaseDirectory);

    public static IEnumerable<string> Projects() => Files("*.csproj");

    public static IEnumerable<string> Files(string pattern) =>
        Directory.EnumerateFiles(Root, pattern, SearchOption.AllDirectories)
            .Where(path => !IsMade(Relative(path)));

    public static string Relative(string path) => Path.GetRelativePath(Root, path).Replace('\\', '/');

    /// <summary>The folder of the table that a path belongs to: its first part.</summary>
    public static string Folder(string path) => Relative(path).Split('/')[0];

    public static IEnumerable<string> References(string project) =>
        XDocument.Load(project).Descendants("ProjectReference")
            .Select(reference => (string)reference.Attribute("Include")!)
            .Select(include => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(project)!, include.Replace('\\', '/'))));

    private static bool IsMade(string relative) =>
        relative.Split('/').Any(part => part is "bin" or "obj" or "out" or ".git" or "node_modules" or "TestResults");

    private static string FindRoot(string start)
    {
        for (DirectoryInfo? folder = new(start); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "NetKernel.sln")))
            {
                return folder.FullName;
            }
        }

        throw new InvalidOperationException($"no NetKernel.sln above {start}");
    }
}
