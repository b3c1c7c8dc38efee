using System.Text;
using NetKernel.GuestLib.Names;

namespace NetKernel.GuestLib.Tests.Names;

/// <summary>nsswitch.conf, the search line of resolv.conf, and host aliases.</summary>
public sealed unsafe class FileTests : IDisposable
{
    private readonly GuardedMemory _text = new(65536);
    private readonly GuardedMemory _result = new(DnsName.MaxText);

    public void Dispose()
    {
        _text.Dispose();
        _result.Dispose();
    }

    [Theory]
    [InlineData("hosts: files dns", "files netkernel")]
    [InlineData("passwd: files\nhosts:\tfiles  dns # comment dns\nnetworks: files\n", "files netkernel")]
    [InlineData("  hosts : dns [!UNAVAIL=return] files", "netkernel [!UNAVAIL=return] files")]
    [InlineData("hosts: files mdns4_minimal [NOTFOUND=return] dns myhostname", "files mdns4_minimal [NOTFOUND=return] netkernel myhostname")]
    [InlineData("hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns", "mymachines files myhostname netkernel")]
    [InlineData("hosts: resolve [!UNAVAIL=return] files", "files netkernel")]
    [InlineData("hosts: files[NOTFOUND=continue]dns", "files [NOTFOUND=continue] netkernel")]
    [InlineData("hosts: files [ SUCCESS=continue UNAVAIL=return ] dns", "files [ SUCCESS=continue UNAVAIL=return ] netkernel")]
    [InlineData("hosts: files", "files")]
    [InlineData("hosts:", "")]
    [InlineData("# hosts: dns\n", "files netkernel")]
    [InlineData("hostsx: dns\nahosts: dns", "files netkernel")]
    [InlineData("hosts dns", "files netkernel")]
    [InlineData("", "files netkernel")]
    [InlineData("hosts: dnssec dns2 adns", "dnssec dns2 adns")]
    [InlineData("hosts: files\nhosts: dns", "netkernel")]
    [InlineData("hosts: files [NOTFOUND", "files [NOTFOUND")]
    public void The_hosts_line_names_our_service_for_dns(string file, string expected) => Assert.Equal(expected, Hosts(file));

    [Fact]
    public void A_line_too_long_is_refused() => Assert.Null(Hosts("hosts: " + new string('x', SwitchFile.MaxLine)));

    [Theory]
    [InlineData("search a.test b.test", 1, "b.test")]
    [InlineData("search a.test b.test\n", 2, null)]
    [InlineData("domain a.test\nsearch b.test c.test\noptions ndots:2", 0, "b.test")]
    [InlineData("search b.test\ndomain a.test", 0, "a.test")]
    [InlineData("searching a.test", 0, null)]
    [InlineData("# search a.test", 0, null)]
    [InlineData("search", 0, null)]
    [InlineData("", 0, null)]
    [InlineData("search\ta.test \t b.test\t", 1, "b.test")]
    public void The_search_list_goes_on_in_the_file(string file, int n, string? expected)
    {
        byte[] bytes = Encoding.Latin1.GetBytes(file);
        byte* domain = _result.Last(SearchLine.MaxDomain + 1);
        Assert.Equal(expected, SearchLine.Find(_text.Copy(bytes), bytes.Length, n, domain) ? Results.String(domain) : null);
    }

    [Theory]
    [InlineData("a b.test\nweb www.test\n", "WEB", "www.test")]
    [InlineData("web www.test more", "web", "www.test")]
    [InlineData("a b.test", "b", null)]
    [InlineData("broken\nweb www.test", "web", null)]
    [InlineData("web \n", "web", null)]
    public void Hosts_have_aliases_of_the_user(string file, string name, string? expected)
    {
        byte[] bytes = Encoding.Latin1.GetBytes(file);
        byte* alias = _result.Last(DnsName.MaxText);
        fixed (byte* asked = Encoding.Latin1.GetBytes(name))
        {
            Assert.Equal(expected, SearchLine.FindAlias(_text.Copy(bytes), bytes.Length, asked, name.Length, alias) ? Results.String(alias) : null);
        }
    }

    private string? Hosts(string file)
    {
        byte[] bytes = Encoding.Latin1.GetBytes(file);
        byte* line = _result.Last(SwitchFile.MaxLine);
        int length = SwitchFile.Hosts(_text.Copy(bytes), bytes.Length, line);
        return length < 0 ? null : Encoding.Latin1.GetString(line, length);
    }
}
