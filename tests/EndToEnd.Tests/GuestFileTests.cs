using System.Text.Json;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>Files of /etc that a guest has for itself: its resolv.conf, and those of /etc/netns.</summary>
[Collection(SharedInstance.Name)]
public sealed class GuestFileTests(InstanceFixture fixture)
{
    private static readonly TimeSpan Time = TimeSpan.FromSeconds(60);

    private NkInstance Nk => fixture.Nk;

    [Fact]
    public void A_guest_has_the_resolv_conf_that_was_asked_for()
    {
        string before = File.ReadAllText("/etc/resolv.conf");
        CommandResult made = Nk.Nk(
            "guest", "create", "files-dns", "--dns", "198.18.0.53", "--dns", "2001:2::53", "--dns-search", "a.test", "--dns-search", "b.test", "--dns-option", "ndots:2");
        Assert.True(made.Succeeded, made.ToString());
        Assert.Equal("nameserver 198.18.0.53\nnameserver 2001:2::53\nsearch a.test b.test\noptions ndots:2\n", Nk.Run("files-dns", Time, "cat", "/etc/resolv.conf").Output);
        Assert.Equal(before, File.ReadAllText("/etc/resolv.conf"));
        JsonElement guest = Nk.List("guest", "list").EnumerateArray().Single(guest => guest.GetProperty("name").GetString() == "files-dns");
        Assert.Equal(["198.18.0.53", "2001:2::53"], guest.GetProperty("dns").GetProperty("servers").EnumerateArray().Select(server => server.GetString()!));
        Assert.Contains("198.18.0.53,2001:2::53", Nk.Nk("guest", "list", "-o", "wide").Output, StringComparison.Ordinal);
        Assert.Equal(0, Nk.Nk("guest", "delete", "files-dns").ExitCode);

        // The name again, without: nothing of the old one is left.
        Assert.Equal(before, Nk.Run("files-dns", Time, "cat", "/etc/resolv.conf").Output);
        Assert.Equal(0, Nk.Nk("guest", "delete", "files-dns").ExitCode);
    }

    [Fact]
    public void Nk_run_makes_a_guest_with_nameservers_and_does_not_change_them()
    {
        string[] cat = ["--", "cat", "/etc/resolv.conf"];
        Assert.Equal("nameserver 198.18.0.53\n", Nk.Nk(["run", "--guest", "files-run", "--dns", "198.18.0.53", .. cat]).Output);
        Assert.Equal("nameserver 198.18.0.53\n", Nk.Nk(["run", "--guest", "files-run", .. cat]).Output);
        CommandResult other = Nk.Nk(["run", "--guest", "files-run", "--dns", "198.18.0.54", .. cat]);
        Assert.Equal(1, other.ExitCode);
        Assert.Contains("has the nameservers 198.18.0.53", other.Error, StringComparison.Ordinal);
        Assert.Equal(0, Nk.Nk("guest", "delete", "files-run").ExitCode);
    }

    [Theory]
    [InlineData("'nonsense' is not an IP address", "--dns", "nonsense")]
    [InlineData("need a nameserver", "--dns-search", "a.test")]
    [InlineData("no more than 3", "--dns", "198.18.0.1", "--dns", "198.18.0.2", "--dns", "198.18.0.3", "--dns", "198.18.0.4")]
    [InlineData("is not a domain", "--dns", "198.18.0.1", "--dns-search", "a b")]
    [InlineData("is not an option", "--dns", "198.18.0.1", "--dns-option", "rotate\nnameserver 198.18.0.2")]
    public void What_cannot_be_written_is_refused(string reason, params string[] options)
    {
        CommandResult result = Nk.Nk(["guest", "create", "files-bad", .. options]);
        Assert.Equal(2, result.ExitCode);
        Assert.Contains(reason, result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Files_in_etc_netns_are_the_guests()
    {
        using NameBed bed = new(Nk, "files-netns", "use-vc");
        using Folder folder = new("/etc/netns/" + Nk.NamespaceOf("files-netns"));
        folder.Write("hosts", "198.18.7.7 in-hosts four.example.test\n");
        Assert.StartsWith("198.18.7.7", bed.InGuest(["getent", "hosts", "in-hosts"]).Output, StringComparison.Ordinal);
        Assert.StartsWith("198.18.7.7", bed.InGuest(["getent", "ahostsv4", "four.example.test"]).Output, StringComparison.Ordinal);
        Assert.Empty(bed.GuestLog("four"));
        Assert.StartsWith("2001:2::9:6", bed.InGuest(["getent", "hosts", "six.example.test"]).Output, StringComparison.Ordinal);

        // Not without dns in nsswitch.conf.
        folder.Write("nsswitch.conf", "hosts: files\n");
        Assert.Equal(2, bed.InGuest(["getent", "hosts", "six.example.test"]).ExitCode);
        Assert.Empty(bed.GuestLog("six"));
        folder.Write("nsswitch.conf", "hosts: resolve [!UNAVAIL=return] files\n");
        Assert.StartsWith("2001:2::9:6", bed.InGuest(["getent", "hosts", "six.example.test"]).Output, StringComparison.Ordinal);
        folder.Write("nsswitch.conf", "hosts: dns [!UNAVAIL=return] files\n");
        Assert.StartsWith("198.18.9.4", bed.InGuest(["getent", "hosts", "four.example.test"]).Output, StringComparison.Ordinal);
        Assert.Equal(2, bed.InGuest(["getent", "hosts", "in-hosts"]).ExitCode);

        // It goes before what nkd wrote.
        folder.Write("resolv.conf", "nameserver 198.18.0.99\n");
        Assert.Equal("nameserver 198.18.0.99\n", bed.InGuest(["cat", "/etc/resolv.conf"]).Output);
    }

    /// <summary>A folder for a test, with its parent when there was none.</summary>
    private sealed class Folder : IDisposable
    {
        private readonly string _path;
        private readonly string? _parent;

        public Folder(string path)
        {
            string parent = Path.GetDirectoryName(path)!;
            _parent = Directory.Exists(parent) ? null : parent;
            _path = path;
            _ = Directory.CreateDirectory(path);
        }

        public void Write(string name, string text) => File.WriteAllText(Path.Combine(_path, name), text);

        public void Dispose()
        {
            Directory.Delete(_path, recursive: true);
            if (_parent is not null)
            {
                Directory.Delete(_parent);
            }
        }
    }
}
