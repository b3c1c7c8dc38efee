using NetKernel.Api;

namespace NetKernel.EndToEnd.Tests;

/// <summary>No way around the library: every libc function that can touch a socket is exported by it, or it is written down why not.</summary>
public sealed class EntryPointTests
{
    private static readonly IReadOnlySet<string> s_libc = EntryPoints.ExportsOf(EntryPoints.Libc());
    private static readonly IReadOnlySet<string> s_ours = EntryPoints.ExportsOf(Places.Find("libnetkernel.so")!);

    [Fact]
    public void Every_entry_point_is_exported_or_explained() =>
        Assert.Empty(EntryPoints.Read().Where(entry => entry.Reason is null && !s_ours.Contains(entry.Name)).Select(entry => entry.Name));

    [Fact]
    public void The_libc_has_every_name_of_the_list() =>
        Assert.Empty(EntryPoints.Read().Where(entry => !s_libc.Any(name => EntryPoints.Matches(entry.Name, name))).Select(entry => entry.Name));

    [Fact]
    public void Nothing_that_sounds_like_a_socket_call_is_left_out()
    {
        string[] patterns = [.. EntryPoints.Read().Select(entry => entry.Name)];
        Assert.Empty(s_libc.Where(name => EntryPoints.SoundsLikeASocketCall(name) && !patterns.Any(pattern => EntryPoints.Matches(pattern, name))).Order());
    }
}
