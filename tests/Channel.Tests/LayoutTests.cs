using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace NetKernel.Channel.Tests;

/// <summary>Offsets and sizes are the contract between programs that are built apart: they are written down here a second time.</summary>
public class LayoutTests
{
    public static TheoryData<Type, string> Layouts() => new()
    {
        { typeof(Nqe), "Op 0 VmLow 1 QueueSet 2 Socket 3 OpData 7 DataPtr 15 Size 23 VmHigh 27 Aux 29 Flags 31" },
        { typeof(ProcessMask), "_first 0 _second 8 _third 16 _fourth 24" },
        { typeof(RingHeader), "Tail 0 Head 128" },
        { typeof(LoopBell), "Asleep 0 RungOn 4 Pending 128" },
        { typeof(ProcessSlot), "State 0 Pid 4 Parent 8 Refused 12 Name 16 Asleep 128 RungOn 132" },
        { typeof(QueueSetHeader), "Subscribers 0 WantsSpace 32 SpaceGiven 36 DrainLock 128 JobLock 256 SendLock 384" },
        {
            typeof(ControlHeader),
            "Magic 0 LayoutVersion 8 HeaderLength 12 TotalLength 16 Id 24 Counts 28 OwnerPid 64 State 68 NsmEpoch 72 Flags 76 Address4 80 "
            + "Address6Low 88 Address6High 96 Name 104 Pool 144 Heartbeat 192 RxEpochs 200 _loopBells 256 SocketHigh 3072 OptionsTaken 3080 TxTaken 3088 DatagramOptionsTaken 3096 "
            + "SharedSetHigh 3104 SharedWatchHigh 3108 SharedSetChanges 3112 DirectTold 3116 Turns 3136"
        },
        {
            typeof(SocketSlot),
            "State 0 QueueSet 4 Exported 8 Domain 20 Type 22 Inode 24 NsmEpoch 32 Backlog 40 OptionMask 48 Holders 64 "
            + "Status 128 Error 132 EventsIn 136 TxBytes 140 TxSends 144 TxLimit 148 ControlSequence 152 ControlError 156 ControlData 160 ControlPtr 168 "
            + "RxBytes 176 RxLoud 180 EventsOut 184 EventsState 188 RxLowWater 192 TxOwn 196 DirectRegion 200 DirectEnd 204 TxByNsm 208 RxByNsm 216 DirectTail 224 DirectStarted 228 DirectHead 232 DirectReady 236 LocalLow 256 LocalHigh 264 PeerLow 272 PeerHigh 280 LocalPort 288 PeerPort 290 Wanted 292 RxLock 320 TxLock 328 ControlLock 336 "
            + "RxTail 384 RxVoid 388 Renewals 392 RxHead 448 RxOffset 452 RxQuiet 456 Entries 512"
        },
        {
            typeof(AttachMessage),
            "Op 0 Error 4 Version 8 Guest 12 Nsm 16 Slot 20 Flags 24 Fds 28 Address4 32 Address6Low 40 Address6High 48 Name 56 Pool 96 "
            + "NetworkNamespace 120 Text 128 Limits 128 Rule 128 Congestion 208"
        },
        { typeof(DirectSide), "News 0 Asleep 256" },
        { typeof(DirectEnd), "Tail 0 WantsRoom 4 Started 8 Stopped 12 Prefix 16 Head 128 Ready 132 Socket 256 Users 264 Kicked 384 Gone 448 ReceiveLimit 452 Withdrawn 456" },
        { typeof(SharedSet), "State 0 Version 4 Lock 8 Holders 64 Users 96" },
        { typeof(SharedWatch), "Owner 0 Serial 8 Fd 12 Socket 16 Flags 20 Inode 24 Events 32 Data 40 Told 48" },
        { typeof(ControlCounts), "QueueSets 0 RingSlots 4 Sockets 8 TxChunks 12 Loops 16" },
        { typeof(PoolCounts), "Small 0 Medium 4 Large 8" },
        { typeof(RxEntry), "Offset 0 Size 4 Position 8" },
        {
            typeof(DatagramHeader),
            "PeerLow 0 PeerHigh 8 LocalLow 16 LocalHigh 24 Timestamp 32 Length 40 PeerPort 44 Fields 46 Tos 48 Ttl 49"
        },
        { typeof(ErrorRecord), "Datagram 0 Error 64" },
        { typeof(SockExtendedError), "Errno 0 Origin 4 Type 5 Code 6 Pad 7 Info 8 Data 12" },
        { typeof(AcceptEntry), "PeerLow 0 PeerHigh 8 Handle 16 PeerPort 20 Position 24" },
        { typeof(CountersHeader), "Magic 0 LayoutVersion 8 Loops 12 Guests 16 Nsms 20 Connections 24 Pid 28 Started 32 Heartbeat 40 LoopThreads 64" },
        {
            typeof(ConnectionRow),
            "State 0 Guest 4 GuestSocket 8 QueueSet 12 Domain 14 Nsm 16 LocalPort 20 PeerPort 22 LocalLow 24 LocalHigh 32 PeerLow 40 PeerHigh 48 "
            + "BytesSent 56 BytesReceived 64 Nqes 72 SendQueue 80 ReceiveQueue 84 Opened 88 Sends 96 Type 100 Direct 104"
        },
    };

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Fields_lie_where_they_are_written_down(Type type, string expected)
    {
        IEnumerable<string> actual = type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)
            .Select(field => (field.Name, Offset: (int)Marshal.OffsetOf(type, field.Name)))
            .OrderBy(field => field.Offset)
            .Select(field => $"{field.Name} {field.Offset}");
        Assert.Equal(expected, string.Join(' ', actual));
    }

    [Fact]
    public void Nothing_overlaps_in_a_region_of_the_direct_form()
    {
        Assert.True(DirectLayout.SideOf(1) + DirectSide.Length <= DirectLayout.EndsOf(0));
        Assert.Equal(DirectLayout.EndsOf(0) + DirectLayout.EndsBytes, DirectLayout.EndsOf(1));
        Assert.True(DirectLayout.EndsOf(DirectLayout.Connections) <= DirectLayout.RingOf(0, 0));
        Assert.Equal(DirectLayout.RingOf(0, 0) + DirectLayout.RingBytes, DirectLayout.RingOf(0, 1));
        Assert.Equal(DirectLayout.Length, DirectLayout.RingOf(DirectLayout.Connections, 0));
        uint place = DirectPlace.Region(1023, 7), end = DirectPlace.End(127, 1);
        Assert.Equal((1023u, 127u, 1u), (DirectPlace.IndexOf(place), DirectPlace.ConnectionOf(end), DirectPlace.SideOf(end)));
    }

    [Fact]
    public void Sizes_are_what_they_say()
    {
        Assert.Equal((32, 32), (Nqe.Length, Unsafe.SizeOf<Nqe>()));
        Assert.Equal((256, 256), (RingHeader.SlotsOffset, Unsafe.SizeOf<RingHeader>()));
        Assert.Equal((4096, 4096), (ControlHeader.Length, Unsafe.SizeOf<ControlHeader>()));
        Assert.Equal((256, 256), (LoopBell.Length, Unsafe.SizeOf<LoopBell>()));
        Assert.Equal((256, 256), (ProcessSlot.Length, Unsafe.SizeOf<ProcessSlot>()));
        Assert.Equal((32, 32), (ProcessMask.Length, Unsafe.SizeOf<ProcessMask>()));
        Assert.Equal((512, 512), (DirectSide.Length, Unsafe.SizeOf<DirectSide>()));
        Assert.Equal((512, 512), (DirectEnd.Length, Unsafe.SizeOf<DirectEnd>()));
        Assert.Equal((512, 512), (QueueSetHeader.Length, Unsafe.SizeOf<QueueSetHeader>()));
        Assert.Equal((2560, 2560), (SocketSlot.Length, Unsafe.SizeOf<SocketSlot>()));
        Assert.Equal((256, 256), (AttachMessage.Length, Unsafe.SizeOf<AttachMessage>()));
        Assert.Equal((4096, 4096), (CountersHeader.Length, Unsafe.SizeOf<CountersHeader>()));
        Assert.Equal((256, 256), (GuestCounters.Length, Unsafe.SizeOf<GuestCounters>()));
        Assert.Equal((256, 256), (NsmCounters.Length, Unsafe.SizeOf<NsmCounters>()));
        Assert.Equal((128, 128), (ConnectionRow.Length, Unsafe.SizeOf<ConnectionRow>()));
        Assert.Equal((64, 64), (DatagramHeader.Bytes, Unsafe.SizeOf<DatagramHeader>()));
        Assert.Equal((80, 80), (ErrorRecord.Bytes, Unsafe.SizeOf<ErrorRecord>()));
        Assert.Equal((16, 32), (Unsafe.SizeOf<RxEntry>(), Unsafe.SizeOf<AcceptEntry>()));
        Assert.Equal(2048u, SocketSlot.RxRing * (uint)Unsafe.SizeOf<RxEntry>());
        Assert.Equal(1024u, SocketSlot.AcceptEntries * (uint)Unsafe.SizeOf<AcceptEntry>());
    }

    [Theory]
    [InlineData(ControlHeader.GuestMagic, "NKCTRL01")]
    [InlineData(ControlHeader.NsmMagic, "NKNSMR01")]
    [InlineData(PoolLayout.Magic, "NKPOOL01")]
    [InlineData(CountersHeader.MagicValue, "NKSTAT02")]
    public void Magic_numbers_read_as_text(ulong magic, string text) =>
        Assert.Equal(text, System.Text.Encoding.ASCII.GetString(BitConverter.GetBytes(magic)));

    [Fact]
    public void A_completion_is_its_request_with_bit_7()
    {
        foreach (Op op in Enum.GetValues<Op>())
        {
            string name = op.ToString();
            if (name.EndsWith("Done", StringComparison.Ordinal))
            {
                Assert.Equal(0x80 | (byte)Enum.Parse<Op>(name[..^4]), (byte)op);
            }
        }
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(255u)]
    [InlineData(256u)]
    [InlineData(0xABCDEFu)]
    public void A_guests_id_survives_its_two_halves(uint id)
    {
        var element = new Nqe { Vm = id };
        Assert.Equal(id, element.Vm);
        Assert.Equal((0u, Op.None), (element.Socket, element.Op));
    }
}
