using System.Text.RegularExpressions;

namespace NetKernel.Architecture.Tests;

/// <summary>The platform's own subnets are 198.18.0.0/16 and 2001:2::/64; private ranges may be in use where it runs.</summary>
public partial class AddressTests
{
    private static readonly string[] Kinds =
        [".cs", ".md", ".csproj", ".props", ".targets", ".json", ".sh", ".py", ".yaml", ".yml", ".conf", ".proto", ".ts", ".html", ""];

    [Fact]
    public void No_file_names_a_private_ipv4_address()
    {
        var found = new List<string>();
        foreach (string path in Repository.Files("*").Where(path => Kinds.Contains(Path.GetExtension(path))))
        {
            int number = 0;
            foreach (string line in File.ReadLines(path))
            {
                number++;
                if (PrivateAddress().IsMatch(line))
                {
                    found.Add($"{Repository.Relative(path)}:{number}: {line.Trim()}");
                }
            }
        }

        Assert.True(found.Count == 0, string.Join('\n', found));
    }

    [Theory]
    [InlineData("10", ".1.2.3", true)]
    [InlineData("172", ".16.0.1", true)]
    [InlineData("172", ".32.0.1", false)]
    [InlineData("192", ".168.0.1", true)]
    [InlineData("198", ".18.0.1", false)]
    [InlineData("110", ".1.2.3", false)]
    [InlineData("1.10", ".1.2.3", false)]
    public void The_pattern_knows_the_ranges(string head, string tail, bool isPrivate) =>
        Assert.Equal(isPrivate, PrivateAddress().IsMatch($"at {head + tail}, say"));

    [GeneratedRegex(@"(?<![\d.])(10\.\d{1,3}\.\d{1,3}\.\d{1,3}|172\.(1[6-9]|2\d|3[01])\.\d{1,3}\.\d{1,3}|192\.168\.\d{1,3}\.\d{1,3})(?![\d.]*\d)")]
    private static partial Regex PrivateAddress();
}
