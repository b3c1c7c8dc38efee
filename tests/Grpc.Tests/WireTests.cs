using FsCheck;
using FsCheck.Fluent;
using Grpc.Core;
using Grpc.Wire;

namespace NetKernel.Grpc.Tests;

/// <summary>Encodings: what is written is read again.</summary>
public sealed class WireTests
{
    [Fact]
    public void Status_messages_survive() => Prop.ForAll<NonNull<string>>(text =>
    {
        string clean = System.Text.Encoding.UTF8.GetString(System.Text.Encoding.UTF8.GetBytes(text.Get)); // no lone surrogates
        string encoded = StatusMessage.Encode(clean);
        return StatusMessage.Decode(encoded) == clean && encoded.All(c => c is >= ' ' and <= '~');
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void Malformed_escapes_stay() => Assert.Equal("100% of %zz %4", StatusMessage.Decode("100% of %zz %4"));

    [Fact]
    public void Timeouts_are_never_shorter_than_meant() => Prop.ForAll<long>(ticks =>
    {
        TimeSpan timeout = TimeSpan.FromTicks(Math.Abs(ticks % TimeSpan.FromDays(4000 * 365L).Ticks) + 1);
        return GrpcTimeout.TryParse(GrpcTimeout.Format(timeout), out TimeSpan read) && read >= timeout - TimeSpan.FromHours(timeout.TotalHours > 99_999_999 ? timeout.TotalHours : 0);
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void Metadata_keys_are_checked()
    {
        Assert.Throws<ArgumentException>(() => new Metadata { { "two words", "x" } });
        Assert.Throws<ArgumentException>(() => new Metadata { { "x-bin", "text" } });
        Assert.Throws<ArgumentException>(() => new Metadata { { "x", [1] } });
        Assert.Throws<InvalidOperationException>(() => Metadata.Empty.Add("x", "y"));
        Assert.Equal("second", new Metadata { { "X", "first" }, { "x", "second" } }.GetValue("x"));
    }

    [Theory]
    [InlineData("application/grpc", true)]
    [InlineData("application/grpc+proto", true)]
    [InlineData("application/grpc;charset=utf-8", true)]
    [InlineData("application/grpc-web", false)]
    [InlineData("application/json", false)]
    [InlineData(null, false)]
    public void Content_types_are_told_apart(string? type, bool grpc) => Assert.Equal(grpc, Headers.IsGrpc(type));
}
