using System.Collections.Generic;
using System.Globalization;

namespace NetKernel.ServiceLib;

/// <summary>The command line of an NSM's program: options with a value each. --run-dir and --id are every NSM's; the others are its own affair.</summary>
public sealed class NsmArguments
{
    private readonly List<(string Name, string Value)> _own = [];

    private NsmArguments()
    {
    }

    /// <summary>Where CoreEngine's engine.sock is.</summary>
    public string RunDirectory { get; private set; } = "";

    /// <summary>The NSM's id, as announced to CoreEngine.</summary>
    public uint Id { get; private set; }

    /// <summary>The NSM's own options, in the order of the command line.</summary>
    public IReadOnlyList<(string Name, string Value)> Own => _own;

    /// <summary>Reads a command line.</summary>
    /// <param name="program">The program's name, for messages.</param>
    /// <param name="known">The options it has beside --run-dir and --id.</param>
    /// <param name="arguments">The command line.</param>
    /// <exception cref="ArgumentException">It is wrong; the message is one line for a person.</exception>
    public static NsmArguments Parse(string program, ReadOnlySpan<string> known, ReadOnlySpan<string> arguments)
    {
        NsmArguments parsed = new();
        bool id = false;
        for (int i = 0; i < arguments.Length; i += 2)
        {
            string name = arguments[i];
            if (name is not ("--run-dir" or "--id") && !known.Contains(name))
            {
                throw new ArgumentException($"unknown option {name}; see {program} --help");
            }

            if (i + 1 == arguments.Length)
            {
                throw new ArgumentException($"{name} needs a value");
            }

            string value = arguments[i + 1];
            switch (name)
            {
                case "--run-dir":
                    parsed.RunDirectory = value;
                    break;
                case "--id":
                    parsed.Id = Number(name, value, 0, uint.MaxValue);
                    id = true;
                    break;
                default:
                    parsed._own.Add((name, value));
                    break;
            }
        }

        return parsed.RunDirectory.Length > 0 && id ? parsed : throw new ArgumentException("--run-dir and --id are needed");
    }

    /// <summary>The value of an option that is a number.</summary>
    /// <exception cref="ArgumentException">It is none, or out of range.</exception>
    public static uint Number(string name, string value, uint least, uint most) =>
        uint.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out uint number) && number >= least && number <= most
            ? number
            : throw new ArgumentException($"{name} {value} is not a number between {least} and {most}");
}
