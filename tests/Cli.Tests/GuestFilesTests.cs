using NetKernel.Cli.Run;

namespace NetKernel.Cli.Tests;

/// <summary>Which resolv.conf a guest can use.</summary>
public sealed class GuestFilesTests
{
    [Theory]
    [InlineData("nameserver 127.0.0.53\noptions edns0\n", true)]
    [InlineData("nameserver ::1\n", true)]
    [InlineData("", true)]
    [InlineData("# nameserver 198.18.0.1\n", true)]
    [InlineData("nameserver\n", true)]
    [InlineData("nameserver 127.0.0.53\nnameserver 198.18.0.1\n", false)]
    [InlineData("search a\n\tnameserver\t2001:2::53%eth0 # first\n", false)]
    public void A_file_with_loopback_servers_only_is_of_no_use(string text, bool unreachable)
    {
        string path = Path.GetTempFileName();
        File.WriteAllText(path, text);
        Assert.Equal(unreachable, GuestFiles.IsUnreachable(path));
        File.Delete(path);
        Assert.True(GuestFiles.IsUnreachable(path));
    }
}
