using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>Socket options: programs/options.c sets and reads every one in every state, programs/effects.c shows what they do.</summary>
[Collection(SharedInstance.Name)]
public sealed class OptionTests(InstanceFixture fixture)
{
    [Fact]
    public void An_option_is_as_in_the_kernel_or_refused_in_every_state()
    {
        (string native, string guest) = Both("options.c", "7302");
        Dictionary<string, string> refused = Compatibility.Rows(native).Zip(Compatibility.Rows(guest)).Where(pair => pair.First.Result != pair.Second.Result)
            .ToDictionary(pair => pair.Second.Call.Split(' ', 2)[1], pair => pair.Second.Result);
        Assert.All(refused, pair => Assert.True(pair.Value.StartsWith('E'), $"{pair.Key}: {pair.Value}, but the kernel refuses it"));

        string[] expected = Lines(native), actual = Lines(guest);
        string[] wrong = [.. expected.Except(actual).Where(line => !refused.Keys.Any(name => line.StartsWith(name + " ", StringComparison.Ordinal)))];
        Assert.Empty(wrong);
        string[] taken = [.. actual.Where(line => refused.Any(pair => line.StartsWith(pair.Key + " ", StringComparison.Ordinal)
            && !line.Contains(" accepted:", StringComparison.Ordinal) && !line.Contains($" set {pair.Value}", StringComparison.Ordinal)))];
        Assert.Empty(taken);
    }

    [Fact]
    public void Options_do_what_they_do_in_the_kernel()
    {
        (string native, string guest) = Both("effects.c", "7303");
        Assert.Equal(native.Split('\n'), guest.Split('\n'));
    }

    /// <summary>MSG_PEEK and MSG_WAITALL over the borders of pieces, control messages, several messages at once, ioctls, splice, sendfile of 100 MB.</summary>
    [Fact]
    public void Flags_messages_ioctls_and_splices_are_as_in_the_kernel()
    {
        (string native, string guest) = Both("flags.c", "7306");
        Assert.Equal(Lines(native), Lines(guest));
    }

    private static string[] Lines(string output) => [.. output.Split('\n').Where(line => line.Length > 0 && !line.StartsWith("compat:", StringComparison.Ordinal))];

    private (string Native, string Guest) Both(string program, string port) => Compatibility.Run(fixture.Nk, program, port);
}
