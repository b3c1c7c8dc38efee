using System.Net;
using System.Text;
using NetKernel.GuestLib.Names;

namespace NetKernel.GuestLib.Tests.Names;

/// <summary>Answers, honest and not, and what the C library gets of them.</summary>
public sealed unsafe class AnswerTests : IDisposable
{
    private const int A = 1, Cname = 5, Ptr = 12, Txt = 16, Aaaa = 28;
    private static readonly byte[] Four = [198, 18, 9, 1];
    private static readonly byte[] Six = IPAddress.Parse("2001:2::1").GetAddressBytes();

    private readonly GuardedMemory _message = new(65536);
    private readonly GuardedMemory _buffer = new(65536);

    public void Dispose()
    {
        _message.Dispose();
        _buffer.Dispose();
    }

    [Fact]
    public void Addresses_and_aliases_are_found() => Assert.Equal(
        "host.b < www.a,web.a 198.18.9.1 ttl 60",
        Fill(new Answer("www.a").Record("WWW.a", Cname, Answer.Wire("web.a")).Record(Answer.Wire("web.a"), Cname, Answer.Wire("host.b"), ttl: 60)
            .Record("host.b", A, Four).Build()));

    [Fact]
    public void The_name_is_spelled_as_in_the_answer() => Assert.Equal("HoSt.A < 198.18.9.1 ttl 300", Fill(new Answer("HoSt.A").Record("host.a", A, Four).Build()));

    [Fact]
    public void Records_of_other_names_classes_types_and_lengths_count_for_nothing()
    {
        Answer answer = new Answer("h").Record("other", A, 1, 2, 3, 4).Record(Answer.Wire("h"), A, [1, 2, 3, 4], cls: 3).Record("h", Txt, 1, 65)
            .Record("h", A, 1, 2, 3).Record("h", A, 1, 2, 3, 4, 5).Record("h", Aaaa, Six).Record("h", A, Four);
        Assert.Equal("h < 198.18.9.1 ttl 300", Fill(answer.Build()));
    }

    [Fact]
    public void An_alias_to_what_is_no_host_name_is_followed_silently() => Assert.Equal(
        "a < 198.18.9.1 ttl 300", Fill(new Answer("a").Record("a", Cname, Answer.Wire("b/c")).Record("b/c", A, Four).Build()));

    [Fact]
    public void Loops_of_aliases_end() => Assert.Equal(
        nameof(Outcome.Useless), Fill(new Answer("a").Record("a", Cname, Answer.Wire("b")).Record("b", Cname, Answer.Wire("a")).Record("a", Cname, Answer.Wire("b")).Build()));

    [Fact]
    public void An_alias_must_come_before_what_it_leads_to() =>
        Assert.Equal(nameof(Outcome.Useless), Fill(new Answer("a").Record("b", A, Four).Record("a", Cname, Answer.Wire("b")).Build()));

    [Fact]
    public void An_empty_answer_is_no_data() => Assert.Equal(nameof(Outcome.NoData), Fill(new Answer("a").Build()));

    [Fact]
    public void A_count_that_promises_too_much_is_broken() => Assert.Equal(nameof(Outcome.Broken), Fill(new Answer("a").Record("a", A, Four).Build(count: 2)));

    [Fact]
    public void Data_beyond_the_end_is_broken() =>
        Assert.Equal(nameof(Outcome.Broken), Fill(new Answer("a").Record("a", A, Four).Record(Answer.Wire("a"), A, Four, length: 5).Build()));

    [Fact]
    public void An_alias_that_is_no_name_is_broken() =>
        Assert.Equal(nameof(Outcome.Broken), Fill(new Answer("a").Record("a", Cname, 0xC0, 0xFF).Record("a", A, Four).Build()));

    [Fact]
    public void Every_shorter_message_is_broken_or_empty()
    {
        byte[] whole = new Answer("a.b").Record("a.b", Cname, Answer.Wire("c")).Record("c", A, Four).Build();
        for (int length = 0; length < whole.Length; length++)
        {
            Assert.Equal(nameof(Outcome.Broken), Fill(whole[..length]));
        }
    }

    [Fact]
    public void Every_smaller_buffer_is_too_small_and_none_is_overrun()
    {
        byte[] message = new Answer("alias.a").Record("alias.a", Cname, Answer.Wire("host.a")).Record("host.a", A, Four).Record("host.a", A, 198, 18, 9, 2).Build();
        int room = 0;
        while (Fill(message, room) == nameof(Outcome.NoRoom))
        {
            room++;
        }

        Assert.InRange(room, 60, 100);
        Assert.Equal("host.a < alias.a 198.18.9.1 198.18.9.2 ttl 300", Fill(message, room));
        int tuples = 0;
        while (Tuples(tuples, message) == nameof(Outcome.NoRoom))
        {
            tuples++;
        }

        Assert.Equal("(host.a) 198.18.9.1 198.18.9.2 ttl 300", Tuples(tuples, message));
    }

    [Fact]
    public void Two_answers_make_one_list_with_one_name() => Assert.Equal(
        "(h) 198.18.9.1 2001:2::1 ttl 10",
        Tuples(1000, new Answer("h").Record("h", A, Four).Build(), new Answer("h", Aaaa).Record(Answer.Wire("h"), Aaaa, Six, ttl: 10).Build()));

    [Fact]
    public void A_broken_answer_adds_nothing_to_the_list() =>
        Assert.Equal("(h) 198.18.9.1 ttl 300", Tuples(1000, new Answer("h").Record("h", A, Four).Build(), new Answer("h", Aaaa).Record("h", Aaaa, Six).Build(count: 2)));

    [Fact]
    public void A_pointer_gives_the_first_name() => Assert.Equal(
        "one.a", Pointer(new Answer("1.in-addr.arpa", Ptr).Record("1.in-addr.arpa", Cname, Answer.Wire("1.0.x")).Record("1.0.x", Ptr, Answer.Wire("one.a"))
            .Record("1.0.x", Ptr, Answer.Wire("two.a")).Build()));

    [Theory]
    [InlineData("bad name")]
    [InlineData("")]
    public void A_pointer_to_what_is_no_host_is_broken(string name) =>
        Assert.Equal(nameof(Outcome.Broken), Pointer(new Answer("p", Ptr).Record("p", Ptr, Answer.Wire(name)).Build()));

    [Fact]
    public void An_answer_has_the_number_and_the_question_of_its_query()
    {
        byte[] query = new Answer("host.a").Build();
        query[2] = 1;
        Assert.True(Matches(query, new Answer("HOST.A").Build()));
        Assert.False(Matches(query, new Answer("host.a", id: 0x1235).Build()));
        Assert.False(Matches(query, new Answer("host.b").Build()));
        Assert.False(Matches(query, new Answer("host.a", Aaaa).Build()));
        Assert.False(Matches(query, query)); // an echo is no answer
        for (int length = 0; length < query.Length; length++)
        {
            Assert.False(Matches(query, new Answer("host.a").Build()[..length]));
        }
    }

    [Fact]
    public void An_OPT_record_is_added_where_there_is_room()
    {
        byte[] query = new byte[100];
        byte[] plain = new Answer("a").Build();
        plain.CopyTo(query, 0);
        fixed (byte* bytes = query)
        {
            Assert.Equal(plain.Length, DnsMessage.AddOpt(bytes, plain.Length, plain.Length + 10, 1200, dnssec: true));
            Assert.Equal(plain.Length + 11, DnsMessage.AddOpt(bytes, plain.Length, query.Length, 1200, dnssec: true));
        }

        Assert.Equal([0, 0, 41, 4, 0xB0, 0, 0, 0x80, 0, 0, 0], query[plain.Length..(plain.Length + 11)]);
        Assert.Equal(1, query[11]);
    }

    private bool Matches(byte[] query, byte[] answer)
    {
        byte* copy = _message.Copy(answer);
        fixed (byte* bytes = query)
        {
            return DnsMessage.IsAnswerTo(bytes, query.Length, copy, answer.Length);
        }
    }

    private string Fill(byte[] message, int room = 4096)
    {
        byte* copy = _message.Copy(message);
        Arena arena = new(_buffer.Last(room), (nuint)room);
        HostEntry entry;
        Outcome outcome = HostEntries.Fill(copy, message.Length, A, ref arena, &entry, out uint ttl);
        if (outcome != Outcome.Found)
        {
            return outcome.ToString();
        }

        var text = new StringBuilder(Results.String(entry.Name)).Append(" <");
        for (int i = 0; entry.Aliases[i] != null; i++)
        {
            text.Append(i == 0 ? ' ' : ',').Append(Results.String(entry.Aliases[i]));
        }

        for (int i = 0; entry.Addresses[i] != null; i++)
        {
            text.Append(' ').Append(new IPAddress(new ReadOnlySpan<byte>(entry.Addresses[i], entry.Length)));
        }

        return text.Append($" ttl {ttl}").ToString();
    }

    private string Tuples(int room, params byte[][] messages)
    {
        Arena arena = new(_buffer.Last(room), (nuint)room);
        AddressTuple* list = null;
        AddressTuple** link = &list;
        bool first = true;
        uint ttl = uint.MaxValue;
        for (int i = 0; i < messages.Length; i++)
        {
            byte* copy = _message.Copy(messages[i]);
            if (HostEntries.AddTuples(copy, messages[i].Length, i == 0 ? A : Aaaa, ref arena, ref link, ref first, ref ttl) == Outcome.NoRoom)
            {
                return nameof(Outcome.NoRoom);
            }
        }

        var text = new StringBuilder();
        for (AddressTuple* at = list; at != null; at = at->Next)
        {
            text.Append(at->Name != null ? $"({Results.String(at->Name)})" : "").Append(' ')
                .Append(new IPAddress(new ReadOnlySpan<byte>(at->Address, at->Family == HostEntries.InternetFamily ? 4 : 16)));
        }

        return text.Append($" ttl {ttl}").ToString();
    }

    private string Pointer(byte[] message)
    {
        byte* copy = _message.Copy(message);
        Arena arena = new(_buffer.Last(1024), 1024);
        HostEntry entry;
        fixed (byte* address = Four)
        {
            Outcome outcome = HostEntries.FillPointer(copy, message.Length, address, 4, HostEntries.InternetFamily, ref arena, &entry, out _);
            return outcome == Outcome.Found ? Results.String(entry.Name) : outcome.ToString();
        }
    }
}

/// <summary>Reads what was written for C.</summary>
internal static unsafe class Results
{
    public static string String(byte* text) => System.Runtime.InteropServices.Marshal.PtrToStringUTF8((nint)text)!;
}
