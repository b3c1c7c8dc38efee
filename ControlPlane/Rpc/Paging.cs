using System.Text;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Rpc;

/// <summary>Pages of a list in the order of names. The token is the last name of the page before: a page is right whatever has come or gone in between.</summary>
internal static class Paging
{
    public const int Usual = 500, Most = 1000;

    public static (List<T> Items, string Next) Page<T>(IEnumerable<KeyValuePair<string, T>> sorted, int size, string token)
    {
        if (size is < 0 or > Most)
        {
            throw ServiceException.Invalid("page_size", $"a page has 1 to {Most} items, or 0 for {Usual}");
        }

        int limit = size == 0 ? Usual : size;
        string after = Last(token);
        var items = new List<T>();
        string last = "";
        foreach ((string name, T item) in sorted)
        {
            if (after.Length > 0 && string.CompareOrdinal(name, after) <= 0)
            {
                continue;
            }

            if (items.Count == limit)
            {
                return (items, Convert.ToBase64String(Encoding.UTF8.GetBytes(last)));
            }

            items.Add(item);
            last = name;
        }

        return (items, "");
    }

    /// <summary>What a token stands for.</summary>
    public static string Last(string token)
    {
        try
        {
            return Encoding.UTF8.GetString(Convert.FromBase64String(token));
        }
        catch (FormatException)
        {
            throw ServiceException.Invalid("page_token", "this is no page token: take next_page_token of the page before");
        }
    }
}
